// Package claim divides work among processes that share a folder and nothing else, such as the tasks of a cluster's job
// array: each item is done by one of them, and what a dead one had begun by another.
//
//	part.go    Part: a process's share of the items, by their work
//	queue.go   Queue: the next item to do; the items alone, where there is one process
//	board.go   the files that say who does what
//	worker.go  who that is, and whether it still runs
//	status.go  Status: how far all of it is
//	outlook.go Outlook: what a process would begin with
//
// A folder of claims has
//
//	items.json         what there is to do, and with which settings
//	workers/ID.json    a process, what it is doing, and a count that goes up as long as it runs
//	claims/HASH.N      who took an item, when, and how it ended
//
// A claim is made with its content by one of all processes that try (atomicfile.WriteNew), and never removed. An item
// is taken over by the next number: whoever makes HASH.2 owns what the dead owner of HASH.1 began, and its number
// fences that owner off, should it only have been slow. The bytes that both would write are the same, and appear by
// renaming.
//
// A process is dead when its file hasn't changed for a while, by the clock of whoever watches it: clocks of several
// machines are never compared. On its own machine it is dead once it has ended.
package claim
