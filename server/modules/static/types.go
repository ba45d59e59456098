package static

import (
	"maps"
	"strings"
)

// typesMax bounds a types_config, in bytes.
const typesMax = 1 << 20

// defaultType is that of a name without a known extension: a browser saves it.
const defaultType = "application/octet-stream"

// commonTypes is used where the types_config does not name an extension.
var commonTypes = map[string]string{
	"7z":          "application/x-7z-compressed",
	"aac":         "audio/aac",
	"apng":        "image/apng",
	"asc":         "text/plain",
	"atom":        "application/atom+xml",
	"avi":         "video/x-msvideo",
	"avif":        "image/avif",
	"bmp":         "image/bmp",
	"bz2":         "application/x-bzip2",
	"conf":        "text/plain",
	"css":         "text/css",
	"csv":         "text/csv",
	"doc":         "application/msword",
	"docx":        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"eot":         "application/vnd.ms-fontobject",
	"epub":        "application/epub+zip",
	"flac":        "audio/flac",
	"geojson":     "application/geo+json",
	"gif":         "image/gif",
	"gz":          "application/gzip",
	"htm":         "text/html",
	"html":        "text/html",
	"ico":         "image/vnd.microsoft.icon",
	"ics":         "text/calendar",
	"iso":         "application/x-iso9660-image",
	"jar":         "application/java-archive",
	"jpeg":        "image/jpeg",
	"jpg":         "image/jpeg",
	"js":          "text/javascript",
	"json":        "application/json",
	"jsonld":      "application/ld+json",
	"jxl":         "image/jxl",
	"log":         "text/plain",
	"m3u8":        "application/vnd.apple.mpegurl",
	"m4a":         "audio/mp4",
	"m4v":         "video/mp4",
	"map":         "application/json",
	"md":          "text/markdown",
	"mid":         "audio/midi",
	"midi":        "audio/midi",
	"mjs":         "text/javascript",
	"mkv":         "video/matroska",
	"mov":         "video/quicktime",
	"mp3":         "audio/mpeg",
	"mp4":         "video/mp4",
	"mpeg":        "video/mpeg",
	"mpg":         "video/mpeg",
	"odp":         "application/vnd.oasis.opendocument.presentation",
	"ods":         "application/vnd.oasis.opendocument.spreadsheet",
	"odt":         "application/vnd.oasis.opendocument.text",
	"oga":         "audio/ogg",
	"ogg":         "audio/ogg",
	"ogv":         "video/ogg",
	"opus":        "audio/ogg",
	"otf":         "font/otf",
	"pdf":         "application/pdf",
	"png":         "image/png",
	"ppt":         "application/vnd.ms-powerpoint",
	"pptx":        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"ps":          "application/postscript",
	"rss":         "application/rss+xml",
	"rtf":         "application/rtf",
	"svg":         "image/svg+xml",
	"tar":         "application/x-tar",
	"text":        "text/plain",
	"tgz":         "application/gzip",
	"tif":         "image/tiff",
	"tiff":        "image/tiff",
	"toml":        "application/toml",
	"ts":          "video/mp2t",
	"tsv":         "text/tab-separated-values",
	"ttf":         "font/ttf",
	"txt":         "text/plain",
	"vtt":         "text/vtt",
	"wasm":        "application/wasm",
	"wav":         "audio/wav",
	"weba":        "audio/webm",
	"webm":        "video/webm",
	"webmanifest": "application/manifest+json",
	"webp":        "image/webp",
	"woff":        "font/woff",
	"woff2":       "font/woff2",
	"xhtml":       "application/xhtml+xml",
	"xls":         "application/vnd.ms-excel",
	"xlsx":        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"xml":         "application/xml",
	"xz":          "application/x-xz",
	"yaml":        "application/yaml",
	"yml":         "application/yaml",
	"zip":         "application/zip",
	"zst":         "application/zstd",
}

// parseTypes reads a mime.types file: lines of a type and its extensions, and
// comments from "#" on. A type that could not stand in a header is left out.
func parseTypes(text []byte) map[string]string {
	types := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.Contains(fields[0], "/") || strings.ContainsFunc(fields[0], notVisible) {
			continue
		}
		for _, extension := range fields[1:] {
			types[strings.ToLower(extension)] = fields[0]
		}
	}
	return types
}

func notVisible(r rune) bool { return r <= ' ' || r >= 0x7f }

// typeTable is commonTypes with what a types_config says instead. Text is sent
// as UTF-8.
func typeTable(configured map[string]string) map[string]string {
	types := maps.Clone(commonTypes)
	maps.Copy(types, configured)
	// any order: each entry for itself.
	for extension, t := range types {
		if strings.HasPrefix(t, "text/") && !strings.Contains(t, ";") {
			types[extension] = t + "; charset=utf-8"
		}
	}
	return types
}

// typeOf tells a file's type from its name.
func typeOf(types map[string]string, name string) string {
	if i := strings.LastIndexAny(name, "./"); i >= 0 && name[i] == '.' {
		if t, ok := types[strings.ToLower(name[i+1:])]; ok {
			return t
		}
	}
	return defaultType
}
