// Package stats quantifies uncertainty: bootstrap intervals, a permutation test for pairs, intervals of proportions.
// Its values are numbers, and its groups say which belong together because they come from one patient.
//
// Resample i depends on the seed and i alone, so results don't depend on the number of processors.
//
//	groups.go       which values are drawn together
//	bootstrap.go    percentile intervals of a mean and of any statistic
//	permutation.go  the sign-flip test of paired differences, Holm's correction
//	proportion.go   Wilson's interval, and where chance leads
//	correlation.go  Pearson's r
package stats
