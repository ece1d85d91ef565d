// Package configs holds what experiments and commands can be told: typed structs with their defaults, and how a value is found.
// Every key can be set in a YAML file, in the environment and, for commands, in a flag:
//
//	flag --steps-inversion  >  HISTDIST_TRANSLATE_STEPS_INVERSION  >  translate.steps-inversion in the file  >  default
//
// Field tags name the keys and say what they mean; flags, checks and the documentation of keys are made from them. A key that isn't
// known is an error with its line and the keys that may be meant.
//
//	load.go       files, environment and flags into a struct (viper)
//	file.go       files and what they extend; syntax.go: what is wrong with their YAML
//	decode.go     a text, wherever it is written, into a value: nothing is rounded or taken for another kind
//	keys.go       the keys of a struct
//	suggest.go    which key may be meant by a name that is none
//	flags.go      flags for keys
//	experiment.go the sections of an experiment
//	translate.go  the section translate
//	evaluate.go   the section evaluate
package configs
