// Package experiments makes training runs of configurations: it opens the model, the pairs and the device that a Config
// names, and gives them to train. It also holds the built-in experiments, one YAML file a marker, which say what differs from base.yaml.
//
//	builtin.go     the files in the binary
//	experiment.go  Open: configuration → model, pairs, trainer; Run
//	base.go        the model that a run begins with: opened, widened or made anew
//	pairs.go       which pairs are for training and which for validation; their batches
//	validate.go    losses, translations and panels on the way
//	plan.go        what a run would take, without running it
//	export.go      a run's checkpoint as a model's folder
package experiments
