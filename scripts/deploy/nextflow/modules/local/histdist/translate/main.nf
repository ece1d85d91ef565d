// A virtual stain of one H&E image or slide. The model is a folder, or [] for the demonstration's in the program.
// ext.suffix is the output's ending: png, jpg or tif of images, ome.tiff of slides. Options: ext.args.
process HISTDIST_TRANSLATE {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    // No environment.yml: the program is one file without dependencies, and no Conda package.
    container 'ghcr.io/histdist/histdist:cuda'

    input:
    tuple val(meta), path(image, stageAs: 'he/*')
    path model, stageAs: 'model'

    output:
    tuple val(meta), path("${prefix}.${suffix}"), emit: stain
    path 'versions.yml', emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    suffix = task.ext.suffix ?: 'png'
    """
    histdist translate \\
        --model ${model ?: 'demo'} \\
        --input "${image}" \\
        --output "${prefix}.${suffix}" \\
        --threads ${task.cpus} \\
        ${args}

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        histdist: \$(histdist --version | sed 's/^histdist version //')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    suffix = task.ext.suffix ?: 'png'
    """
    touch "${prefix}.${suffix}"

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        histdist: stub
    END_VERSIONS
    """
}
