// Package configs holds what experiments and commands can be told: typed structs with their defaults, and how a value is found.
// Every key can stand in a YAML file, in the environment and, for commands, in a flag:
//
//	flag --steps-inversion  >  HISTDIST_TRANSLATE_STEPS_INVERSION  >  translate.steps-inversion in the file  >  default
//
// Field tags name the keys and say what they mean; flags, checks and the documentation of keys are made from them. A key that isn't
// known is an error with its line and the nearest one that is.
//
//	load.go       files, environment and flags into a struct (viper)
//	keys.go       the keys of a struct
//	flags.go      flags for keys
//	translate.go  the section translate
//	evaluate.go   the section evaluate
package configs
