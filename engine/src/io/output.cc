#include "io/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "contract/text.h"

namespace greta::engine {
namespace {

namespace fs = std::filesystem;

// No exit code of an engine means "disk"; the caller's --out is what cannot be used.
tl::unexpected<Error> error(const fs::path& path, const std::string& what) {
  return tl::unexpected<Error>(Error{
      .message = what, .file = path.string(), .exit_code = static_cast<int>(EngineExit::usage)});
}

std::string reason(int code) { return std::strerror(code); }

class File {  // a descriptor that closes itself
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Writes everything or says why not.
Result<> write_all(const File& file, const fs::path& path, std::string_view text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(file.fd(), text.data() + done, text.size() - done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n < 0 && errno != EINTR) {
      return error(path, "cannot write: " + reason(errno));
    }
  }
  return {};
}

bool is_bare_name(std::string_view name) {
  return !name.empty() && name.find('/') == std::string_view::npos && name != "." && name != "..";
}

class NoOutput : public Output {
 public:
  bool wanted() const override { return false; }
  Result<> write(std::string_view, const std::string&) override { return {}; }
  Result<> rename(std::string_view, const std::string&) override { return {}; }
  Result<> write_file(const std::string&, const std::string&) override { return {}; }
};

class FolderOutput : public Output {
 public:
  explicit FolderOutput(fs::path folder) : folder_(std::move(folder)) {}

  bool wanted() const override { return true; }

  Result<> write(std::string_view event, const std::string& line) override {
    TRY_ASSIGN(Stream * stream, stream_of(event));
    const auto written = write_all(*stream->file, stream->path, line);
    if (!written) {
      // Half a record must not stay. If even this fails, the line has no newline and no reader
      // takes it.
      [[maybe_unused]] const int taken_back = ::ftruncate(stream->file->fd(), stream->length);
      return written;
    }
    stream->length += static_cast<off_t>(line.size());
    return {};
  }

  Result<> rename(std::string_view event, const std::string& file_name) override {
    if (!is_bare_name(file_name)) {
      return error(folder_,
                   "`" + printable(file_name) +
                       "` is not the bare name of a file; outputs live in the folder --out");
    }
    if (streams_.contains(names_.contains(event) ? names_.find(event)->second
                                                 : default_name(event))) {
      return error(folder_, "records of `" + std::string(event) + "` have been written already");
    }
    names_.insert_or_assign(std::string(event), file_name);
    return {};
  }

  Result<> write_file(const std::string& name, const std::string& text) override {
    if (!is_bare_name(name))
      return error(folder_, "`" + printable(name) + "` is not a bare file name");
    const fs::path target = folder_ / name, beside = folder_ / ("." + name + ".part");
    {
      const File file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
      if (file.fd() < 0) return error(beside, "cannot create: " + reason(errno));
      auto written = write_all(file, beside, text);
      if (written && ::fsync(file.fd()) != 0)
        written = error(beside, "cannot fsync: " + reason(errno));
      if (!written) {
        ::unlink(beside.c_str());
        return written;
      }
    }
    if (::rename(beside.c_str(), target.c_str()) != 0) {
      return error(target, "cannot rename into place: " + reason(errno));
    }
    const File folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.fd() < 0 || ::fsync(folder.fd()) != 0) {
      return error(folder_, "cannot fsync: " + reason(errno));
    }
    return {};
  }

 private:
  struct Stream {
    fs::path path;
    std::unique_ptr<File> file;
    off_t length = 0;
  };

  static std::string default_name(std::string_view event) { return std::string(event) + ".jsonl"; }

  Result<Stream*> stream_of(std::string_view event) {
    const auto renamed = names_.find(event);
    const std::string name = renamed == names_.end() ? default_name(event) : renamed->second;
    if (const auto open = streams_.find(name); open != streams_.end()) return &open->second;
    Stream stream;
    stream.path = folder_ / name;
    stream.file = std::make_unique<File>(
        ::open(stream.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644));
    if (stream.file->fd() < 0) return error(stream.path, "cannot create: " + reason(errno));
    return &streams_.emplace(name, std::move(stream)).first->second;
  }

  fs::path folder_;
  std::map<std::string, std::string, std::less<>> names_;  // event → file name, where renamed
  std::map<std::string, Stream, std::less<>> streams_;     // by file name
};

}  // namespace

Result<std::unique_ptr<Output>> Output::open(const std::filesystem::path& folder) {
  if (folder.empty()) return std::unique_ptr<Output>(std::make_unique<NoOutput>());
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return error(folder, "cannot create the folder --out: " + code.message());
  fs::directory_iterator entries(folder, code);
  if (code) return error(folder, "cannot read the folder --out: " + code.message());
  if (entries != fs::directory_iterator()) {
    return error(folder, "the folder --out is not empty (it holds `" +
                             printable(entries->path().filename().string()) +
                             "`); give one that is empty or does not exist yet");
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return error(folder, "cannot write into the folder --out: " + reason(errno));
  }
  return std::unique_ptr<Output>(std::make_unique<FolderOutput>(folder));
}

}  // namespace greta::engine
