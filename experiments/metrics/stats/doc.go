// Package stats says how sure a number is: bootstrap intervals, a permutation test for pairs, intervals of proportions. It knows
// nothing of pictures; its values are numbers, and its groups say which of them belong together because they come from one patient.
//
// Everything random is drawn from a seed, and resample i from the seed and i alone, so that a result does not depend on the number of
// processors.
//
//	groups.go       which values are drawn together
//	bootstrap.go    percentile intervals of a mean and of any statistic
//	permutation.go  the sign-flip test of paired differences, Holm's correction
//	proportion.go   Wilson's interval, and where chance leads
//	correlation.go  Pearson's r
package stats
