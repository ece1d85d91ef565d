// Package hub downloads models from huggingface.co, or a server like it, into the cache that Hugging Face's tools
// share. It knows the names of files that diffusers and transformers use, and no networks.
//
//	Pull ─ revision → commit ─ list of files ─ Choose those needed ─ space on the disk?
//	     ─ each: lock ─ ranges into an .incomplete file ─ SHA-256 ─ blobs/HASH
//	     ─ links in snapshots/COMMIT ─ refs/REVISION
//
//	pull.go      Client, Pull: one model
//	request.go   requests, redirects, tries; refused.go: what servers refuse, in a user's words
//	listing.go   what the server has; choose.go: which of it is needed
//	blob.go      one file's content: locked, downloaded in parts, verified
//	partial.go   content that isn't complete yet, and which parts of it are
//	snapshot.go  the layout of the cache
//	space_*.go   space on a disk
//
// # The cache
//
// The layout is that of Python's huggingface_hub, which finds what this package downloads, and the reverse:
//
//	models--ORGANISATION--NAME/
//	  blobs/HASH                    contents: SHA-256, or git's SHA-1 of small files
//	  snapshots/COMMIT/unet/…       links to ../../../blobs/HASH; hard links or copies where there are no links
//	  refs/main                     COMMIT
//	.locks/models--…/HASH.lock      held while a content is downloaded
//
// A content gets its name when it is complete and its hash is right, and a model appears in snapshots when all of its
// contents are there. Until then they are in blobs/HASH.histdist.incomplete, from which a later run goes on.
//
// # Servers
//
// The endpoint, the token, the cache and whether there is a network at all come from the variables that huggingface_hub
// reads: HF_ENDPOINT, HF_TOKEN and the token's file, HF_HOME and HF_HUB_CACHE, HF_HUB_OFFLINE. Proxies are found as
// always in Go: HTTPS_PROXY and NO_PROXY. The token goes to the endpoint and to huggingface.co, and not to the servers
// of files that these redirect to. Answers are not trusted: hashes, paths and sizes are checked before they are used.
package hub
