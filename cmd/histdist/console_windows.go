package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// prepareConsole makes Windows' console obey the sequences that clear a line, which it writes out otherwise. Letters
// need nothing: Go writes them to consoles in UTF-16.
func prepareConsole() {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		console := windows.Handle(f.Fd())
		var mode uint32
		if windows.GetConsoleMode(console, &mode) == nil {
			_ = windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) // or it is less tidy
		}
	}
}
