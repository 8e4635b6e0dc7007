#pragma once
// The engine under test, and the ways to run it: as an attempt of `greta run`, or as one process
// whose command line, requests and output folder can be wrong on purpose.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "conform/conform.h"
#include "container/executor.h"
#include "container/machine.h"
#include "run/attempt.h"
#include "run/bundle.h"
#include "spec/spec.h"
#include "system/layout.h"

namespace greta::runner {

// Names, sizes and times of files, to see what was written.
using Snapshot = std::map<std::string, std::string>;

struct Call {
  std::vector<std::string> prompts;     // ids, see conform_prompts(); the requests file has these
  std::optional<std::string> requests;  // instead: the bytes of that file
  std::vector<std::string> arguments;   // behind the usual ones
  std::map<std::string, std::string> flags;
  int64_t max_tokens = 2;
  bool model_missing = false;
  enum class Out { empty, not_empty, below_a_file } out = Out::empty;
  double timeout_s = 0;  // 0: that of the options
  // Asked about ten times a second with the output folder; true ends the process by SIGTERM.
  std::function<bool(const std::filesystem::path& out)> stop;
};

// What one process did, in a folder of its own that holds out/, stdout.log and stderr.log.
struct Answer {
  Finished finished;
  std::filesystem::path folder;
  std::string said;  // stderr
  std::filesystem::path out() const { return folder / "out"; }
};

class Subject {
 public:
  // Makes the scratch folder, the image and the model. Errors as of conform().
  static Result<Subject> open(const ConformOptions& options, Progress& progress,
                              const Cancel& cancel);
  Subject(Subject&&) = default;
  Subject& operator=(Subject&&) = default;
  ~Subject();

  const Spec& spec() const { return spec_; }
  const Adapter& adapter() const { return spec_.engines[0].adapter; }
  bool adapted() const { return adapter().name != "greta"; }
  bool one_by_one() const { return adapter().request_mode == "one"; }
  const Executor& executor() const { return executor_; }
  std::string name() const;

  // All prompts in one process, or one each where the adapter says so, kept and judged as
  // `greta run` would.
  Result<std::vector<Attempt>> attempt();
  Result<Answer> describe();
  Result<Answer> call(const Call& call);

  // Where an engine on this machine might leave something that is not in its output folder.
  Snapshot surroundings() const;

 private:
  Subject(const ConformOptions& options, const Cancel& cancel)
      : options_(options), cancel_(&cancel) {}
  Result<> prepare(Progress& progress);
  Result<std::filesystem::path> write_spec() const;
  Result<std::filesystem::path> model() const;
  Result<std::filesystem::path> next_folder();
  Job job_in(const std::filesystem::path& folder) const;
  Result<Answer> run(const Job& job, const std::filesystem::path& folder);
  const Prompt& prompt(const std::string& id) const;

  ConformOptions options_;
  const Cancel* cancel_;
  std::filesystem::path scratch_;
  bool keep_ = false;
  Spec spec_;
  Executor executor_;
  Machine machine_;
  Layout layout_;
  std::vector<Engine> engines_;  // one
  int calls_ = 0;
};

}  // namespace greta::runner
