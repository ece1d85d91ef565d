// Virtual stains of many images or slides, one task each. From the folder of this repository:
//
//   nextflow run scripts/deploy/nextflow --input 'slides/*.svs' --model models/er --suffix ome.tiff --outdir stains
//
// --model may be left out for the demonstration's. --args are options of `histdist translate`, in quotes. -stub runs all
// but the translation.
//
// Resources are in nextflow.config. A slide that takes hours on one GPU is better shared by the tasks of an array:
// scripts/deploy/slurm/translate-array.sbatch.
include { HISTDIST_TRANSLATE } from './modules/local/histdist/translate/main'

workflow {
    if (!params.input) {
        error "--input is missing: H&E images or slides, a pattern in quotes such as 'slides/*.svs'"
    }
    images = Channel
        .fromPath(params.input, checkIfExists: true)
        .map { image -> [[id: image.name.replaceFirst(/(\.ome)?\.[^.]+$/, '')], image] }
    HISTDIST_TRANSLATE(images, params.model ? file(params.model, checkIfExists: true) : [])
}
