// Package configs fills structs of options from files, the environment and flags, and knows where each value came from:
//
//	--set > --steps-inversion > HISTDIST_TRANSLATE_STEPS_INVERSION > steps-inversion in the file > preset > default
//
// It knows none of the structs: they live with the packages that use the options, and their tags (see package option)
// name the keys. An unknown key is an error with its line and the keys that might be meant.
//
//	load.go     files, environment and flags into a struct (viper)
//	file.go     files and those that they extend
//	syntax.go   what is wrong with their YAML, in a user's words
//	decode.go   text into a value, without rounding or guessing
//	list.go     lists of structs, from YAML and back
//	suggest.go  the keys that an unknown one might mean
//	flags.go    flags for keys
//	write.go    values as YAML
package configs
