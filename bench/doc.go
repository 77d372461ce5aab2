// Package bench measures a daybook beside what people write by hand.
//
// A number by itself says more about the machine than about the store. So [Run]
// puts every question, a scenario, to several contenders on the same server in
// turns: each of them once a round, in another order each round, with the same rows,
// the same indexes and the same durability. What counts is the ratio to the
// baseline within a round; the [Report] has the median of these, and their spread.
//
// Whatever a contender says it has written is read back and counted before the
// report exists: one event lost or there twice, one hole, and there is no report.
//
// Some contenders are other processes. These are the running program, started once
// more: whoever calls Run calls [Child] first thing in main.
package bench
