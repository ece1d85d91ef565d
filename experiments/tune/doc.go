// Package tune measures what a model loses when its sampler makes fewer calls of the U-Net, on a user's own images, and
// recommends the cheapest sampling that is as good as the paper's.
//
//	images ─ a ladder of samplings ─▶ virtual stains ─ package evaluate, the paper's stains in place of real ones ─▶ rows
//
// The paper's sampler is run twice, with two seeds. A sampling is as good as the paper's if its stains are not farther
// from the first run's than those of the second.
//
//	ladder.go  which samplings are measured
//	tune.go    Run: translations, evaluations, recommendation; what is there from an earlier run is used again
//	report.go  rows as a table, JSON and curves
package tune
