package evaluate_test

import (
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
)

// The same files in the same output folder are compared anew when their profiles are ignored, and again when they are
// not.
func TestICCIsPartOfWhatIsCached(t *testing.T) {
	folder := t.TempDir()
	const scanned = "../../data/imagefile/testdata/icc-scanner.png"
	numbers, err := imagefile.Read(scanned, imagefile.Options{ICC: imagefile.IgnoreICC})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.png", "b.png"} {
		copyFile(t, filepath.Join(folder, "real", name), scanned)
		save(t, filepath.Join(folder, "fake", name), numbers) // without the profile
	}
	o := options(t, folder, filepath.Join(folder, "fake"))
	o.HE = ""
	for _, icc := range []imagefile.ICC{imagefile.ApplyICC, imagefile.IgnoreICC, imagefile.ApplyICC} {
		o.Settings.ICC = icc
		r, _ := run(t, o)
		ignored := icc == imagefile.IgnoreICC
		if ssim, fid := r.Metric("ssim").Value, r.Metric("fid").Value; (ssim == 1) != ignored || (fid < 1e-6) != ignored {
			t.Errorf("icc %s: SSIM %v, FID %v", icc, ssim, fid)
		}
	}
}
