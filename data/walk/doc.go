// Package walk finds the image files of a folder, with or without sub-folders, or of a pattern. All commands use it, so
// the same rules hold everywhere:
//
//   - An image file is one with an image's extension, in capitals or not: see Extensions. It is not opened.
//   - Symbolic links to files and folders are followed. A folder is not entered from inside itself, whatever the links, nor one that it is in: cycles end.
//   - Hidden files and folders and those of systems and programs are passed over: see Hidden.
//   - Panels that this program made are passed over, and all images that it made where that is asked for: see Outputs.
//   - A folder that can't be read and a link that leads nowhere don't end the search; they are listed.
//   - Names are compared in Unicode's form NFC: File.Stem. An ä is an ä, whether macOS or Linux has written it.
//   - The order is that of the names, the same on every machine.
//
// walk.go searches a folder, pattern.go a pattern; name.go has rules for names, outputs.go for our own images.
package walk
