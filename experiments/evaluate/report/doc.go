// Package report presents an evaluation's results: report/index.html, one file that needs no network, and its figures
// as SVG and PNG files in report/figures. It computes nothing but the order of the panels.
//
//	report.go    Write: results and table ──▶ files
//	figures.go   scatters, distributions, Bland and Altman's plot, with gonum/plot
//	curves.go    measures against the cost of a sampler, in panels
//	style.go     colours, fonts and canvases of figures;  ticks.go their axes' ticks
//	panels.go    H&E, virtual and real side by side: the worst, median and best pairs
//	scale.go     the small scale next to each number: value, interval, floor, ceiling, chance
//	page.html    the page;  page.css its looks
package report
