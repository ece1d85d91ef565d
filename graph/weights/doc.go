// Package weights reads and writes the weights of networks: the files and folders of diffusers, transformers and
// torch.save. It knows no network; names and shapes come from the parameters of a graph, and a Mapping translates
// between old names and new.
//
//	store, err := weights.Open("sd15/unet", weights.Options{})
//	err = store.Bind(scope.Params(), weights.Mapping{})
//	program, err := vm.Compile(…)
//	err = store.Release(params)        // those that the device has rearranged, if memory is short
//	…
//	tensors, err := weights.FromParams(scope.Params())
//	err = weights.Save("export/unet", tensors, weights.SaveOptions{DType: weights.Float16})
//	err = store.Close()                // when no program reads the weights any more
//
// # From a file to a node
//
// Open maps the files into memory and reads their headers. Bind finds the tensor of each parameter and gives the node a
// value: the mapped bytes themselves where they are float32 in the graph's order, otherwise a converted copy outside
// Go's heap, as always for convolution weights: [O,I,KH,KW] in files, [KH,KW,I,O] in the graph. All nodes of one
// tensor, in any number of graphs, share one memory, which has one address until the store is closed. Mapped pages are
// private, so that training may write to parameters in place.
//
// # Files from strangers
//
// Headers, archives, pickles and indexes are untrusted: nothing in them is run, the sizes in them are checked before
// memory is allocated, no path in them leads out of their folder, and errors name the file and the tensor. A file that
// shrinks while it is mapped can't be detected: reading beyond its new end ends the program (SIGBUS). Replace weights
// as Save does, by renaming a new file, and never write into one in use.
//
// # Files
//
//	store.go        Store: open, list, read, close
//	folder.go       which file of a folder; index.go: shards
//	safetensors.go  .safetensors files; torch.go, legacy.go, pickle.go: .bin, .pt and .pth files
//	mmap.go         files in memory
//	bind.go         binding tensors to parameters, and releasing them
//	layout.go       convolution weights between the two orders; convert.go: types of numbers
//	digest.go       what identifies contents and files
//	finite.go       damaged weights; prefix.go: prefixes of names
//	tensor.go       tensors to be saved; save.go: saving them, in shards
//	pipeline.go     model_index.json; hub.go: Hugging Face's cache
//	formula/        weights without files, for tests and benchmarks of full size
package weights
