package weights

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

func identify(f *os.File) (identity, error) {
	h := windows.Handle(f.Fd())
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &i); err != nil {
		return identity{}, err
	}
	var basic struct { // FILE_BASIC_INFO
		_, _, written, changed windows.Filetime
		_                      uint64
	}
	if err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)),
		uint32(unsafe.Sizeof(basic))); err != nil {
		return identity{}, err
	}
	whole := func(high, low uint32) uint64 { return uint64(high)<<32 | uint64(low) }
	return identity{
		device: uint64(i.VolumeSerialNumber), file: whole(i.FileIndexHigh, i.FileIndexLow),
		size:    int64(whole(i.FileSizeHigh, i.FileSizeLow)),
		written: time.Unix(0, basic.written.Nanoseconds()), changed: time.Unix(0, basic.changed.Nanoseconds()),
	}, nil
}
