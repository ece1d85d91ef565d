// Package walk finds the image files of a folder, with or without sub-folders, or of a pattern. All commands use it, so
// the same rules hold everywhere:
//
//   - Files are images by their extension alone, in either case: see Extensions.
//   - Symbolic links are followed, but not into a folder from inside it, so cycles end.
//   - Hidden files and folders and those of systems and programs are skipped: see Hidden.
//   - Panels that this program made are skipped, and on request all images that it made: see Outputs.
//   - Unreadable folders and dangling links don't end the search; they are listed.
//   - Names are compared in Unicode's form NFC, whether macOS or Linux wrote them: see File.Stem.
//   - The order is by name, the same on every machine.
//
// walk.go searches a folder, pattern.go a pattern; name.go has rules for names, outputs.go for our own images;
// same.go compares paths, size.go sums up files.
package walk
