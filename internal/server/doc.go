// Package server lets people open slides, mark regions and get their virtual stain, in a browser, from QuPath and over
// HTTP. It neither reads slides (package slide does) nor translates (package mosaic does).
//
//	request ─ server.go ─▶ request id, headers, Host, origin (security.go) ─▶ routes.go: which handler, whose token
//	        ─▶ handler ─▶ answer, or an error that problem.go writes as RFC 9457 says ─▶ log and metrics (observe.go)
//
//	settings.go   options
//	limits.go     slow clients, bodies, connections, and who takes turns
//	service.go    health, version, the document of the interface (openapi.yaml)
//	models.go     models; package models opens them
//	slides.go     slides; package catalogue finds, opens and cuts them
//	images.go     Deep Zoom
//	iiif.go       IIIF Image API 3
//	uploads.go    images and slides that clients send
//	jobs.go       translations; package queue keeps and runs them
//	jobroutes.go  adds, shows and deletes them
//	jobrecord.go  what the queue keeps of one
//	jobanswer.go  what clients get of one
//	translate.go  what a worker does: package mosaic translates
//	preview.go    small images that fill up
//	events.go     jobs, as streams of events
//	results.go    files of stains
//	measurements.go  how strong they are
//	page.go       the page; package web has its files
//
// No name of a slide, path or patient is in a log, a metric or a URL: slides have opaque identifiers.
package server
