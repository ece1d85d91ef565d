// Package weights reads and writes the weights of networks: the files and folders of diffusers, transformers and
// torch.save. It knows no network; names and shapes come from the parameters of a graph, and a Mapping translates
// between old names and new.
//
//	store, err := weights.Open("sd15/unet", weights.Options{})
//	err = store.Bind(scope.Params(), weights.Mapping{})
//	program, err := vm.Compile(…)
//	err = store.Release(params)        // what the device has rearranged for itself, if memory is short
//	…
//	tensors, err := weights.FromParams(scope.Params())
//	err = weights.Save("export/unet", tensors, weights.SaveOptions{DType: weights.Float16})
//	err = store.Close()                // when no program reads the weights any more
//
// # From a file to a node
//
// Open maps the files into memory and reads their headers. Bind finds the tensor of each parameter and gives the node a
// value: the mapped bytes themselves where they are float32 in the order that the graph has, a converted copy outside
// Go's heap otherwise. Convolution weights always are: [O,I,KH,KW] in files, [KH,KW,I,O] in the graph. All nodes of one
// tensor, in however many graphs, share one memory, which has one address until the store is closed; Go's garbage
// collector has no part in it. Mapped pages are private, so that training may write to parameters in place.
//
// # Files from strangers
//
// Headers, archives, pickles and indexes are read as hostile: nothing in them is run, no memory is taken because they
// say so, no path in them leads out of their folder, and what doesn't fit together is refused with the file's and the
// tensor's name. What the system can't check is a file that shrinks while it is mapped: reading beyond its new end ends
// the program (SIGBUS). Its size is checked when it is opened. Replace weights as Save does, by renaming a new file,
// and never write into one in use.
//
// # Files
//
//	store.go        Store: open, list, read, close
//	folder.go       which file of a folder; index.go: shards
//	safetensors.go  the format of .safetensors; torch.go, legacy.go, pickle.go: those of .bin, .pt, .pth
//	mmap.go         files in memory
//	bind.go         tensors to parameters and back to the system
//	layout.go       convolution weights between the two orders; convert.go: types of numbers
//	tensor.go       what is to be saved; save.go: saving, shards, old or new but never half
//	pipeline.go     model_index.json; hub.go: Hugging Face's cache
//	formula/        weights without files, for tests and benchmarks of full size
package weights
