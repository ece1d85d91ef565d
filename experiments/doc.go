// Package experiments turns configurations into training runs: it opens the model, the pairs and the device that a
// Config names, and hands them to train. It also has the built-in experiments, a YAML file for each marker, which
// extend base.yaml.
//
//	config.go      the configuration; synonyms.go: its keys in other programs
//	load.go        a file, the environment and --set into a Config
//	builtin.go     the files in the binary
//	experiment.go  Open: configuration → model, pairs, trainer; Run
//	ranks.go       the same in one of several processes
//	base.go        the model that a run starts from: opened, widened or newly made
//	pairs.go       the pairs for training and for validation, and their batches
//	sets.go        the same of several markers
//	contents.go    fingerprints of the images, to find replaced ones when a run resumes
//	validate.go    losses, translations and panels during a run
//	header.go      what a run is about to do, in a few lines
//	plan.go        what a run would take, without running it
//	export.go      a checkpoint as a model's folder; card.go: its README.md
package experiments
