package server

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/server/queue"
)

// openIn lists the files of a folder that this process has open. Only Linux says.
func openIn(t *testing.T, folder string) (open []string) {
	t.Helper()
	const descriptors = "/proc/self/fd"
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		t.Skip(err)
	}
	for _, e := range entries {
		path, err := os.Readlink(filepath.Join(descriptors, e.Name()))
		if err == nil && strings.HasPrefix(path, folder) { // others are closed meanwhile
			open = append(open, path)
		}
	}
	return open
}

// What is deleted is closed, so that its space on the disk is free, and not there any more.
func TestDeletedFilesAreClosed(t *testing.T) {
	s, one := withJobs(t, "ER", nil)
	answer, text := post(t, s, jobBody(one, ""))
	job := finished(t, s, decoded[jobAnswer](t, answer, text).ID)
	if job.State != queue.Done {
		t.Fatalf("%+v", job)
	}
	answer, text = ask(t, s, http.MethodPost, "/api/v1/uploads", bytes.NewReader(encoded(t, 60, 40, imagefile.PNG)))
	upload := decoded[slideAnswer](t, answer, text).ID
	for folder, deleted := range map[string]struct{ image, url string }{
		s.jobs.queue.Folder(job.ID):             {job.Results.Image, jobURL(job.ID)},
		filepath.Join(s.uploads.folder, upload): {upload, "/api/v1/uploads/" + upload},
	} {
		tile := "/api/v1/images/" + deleted.image + "_files/6/0_0.jpg"
		if answer, text := get(t, s, tile); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s", tile, answer.Status, text)
		}
		if open := openIn(t, folder); len(open) != 1 {
			t.Errorf("open are %v, want one file", open)
		}
		if answer, text := ask(t, s, http.MethodDelete, deleted.url, nil); answer.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: %s: %s", deleted.url, answer.Status, text)
		}
		if open := openIn(t, folder); len(open) > 0 {
			t.Errorf("still open: %v", open)
		}
		if answer, _ := get(t, s, tile); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s of what is deleted: %s", tile, answer.Status)
		}
	}
}
