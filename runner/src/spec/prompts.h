#pragma once
// Prompts: from a library file (prompts.yaml) by id, or written in the spec.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "spec/spec.h"
#include "spec/yaml_node.h"

namespace greta::runner {

// Where ids are looked up: the first file that has the id wins. Files are read when first needed.
class PromptLibrary {
 public:
  struct File {
    std::filesystem::path path;
    std::string shown;
  };
  PromptLibrary(std::vector<File> files, Problems& problems)
      : files_(std::move(files)), problems_(problems) {}

  // The node of the entry, or null.
  const YamlNode* find(const std::string& id);
  std::vector<std::string> ids();
  std::string places() const;  // "experiments/prompts.yaml", for messages
  bool failed();               // a file that exists could not be read

 private:
  void load();
  std::vector<File> files_;
  Problems& problems_;
  bool loaded_ = false, failed_ = false;
  std::map<std::string, YamlNode> entries_;
};

struct PromptFolders {
  std::filesystem::path spec, root;  // where texts that name a file would be looked for
};

// Reads the `prompts` list. Mistakes: unknown ids, ids given twice, none or several of text, file
// and tokens, files that are not UTF-8. Warnings: a text that names a file or holds an escape in
// letters, two prompts of equal bytes.
std::vector<Prompt> read_prompts(const YamlNode& list, PromptLibrary& library,
                                 const PromptFolders& folders, Problems& problems,
                                 std::vector<std::string>& warnings);

// Every prompt of one library file, checked like the inline ones: for lint.
Result<std::vector<Prompt>> load_prompts_file(const std::filesystem::path& file,
                                              const std::string& shown,
                                              std::vector<std::string>& warnings);

// Fills sha256 from text or tokens.
void hash_prompt(Prompt& prompt);

}  // namespace greta::runner
