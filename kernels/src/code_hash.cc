#include "code_hash.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace greta::kernels {
namespace {

using Bytes = std::span<const std::byte>;

struct Symbol {
  size_t size = 0;
  std::string name;
};
// What is known of the program: its functions (and handles of kernels) by their address in the
// file's own numbering, and the hashes of the GPU code in it by mangled name.
struct Program {
  std::unordered_map<uintptr_t, Symbol> symbols;
  std::unordered_map<std::string, uint64_t> device_code;
};

// Machines of GPU code: EM_CUDA and EM_AMDGPU.
constexpr int kCuda = 190, kAmdGpu = 224;

class Elf {
 public:
  explicit Elf(Bytes file) : file_(file) {
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(file.data());
    if (file.size() < sizeof *header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64) {
      return;
    }
    machine_ = header->e_machine;
    if (header->e_shoff > file.size() ||
        header->e_shnum > (file.size() - header->e_shoff) / sizeof(Elf64_Shdr)) {
      return;
    }
    sections_ = {reinterpret_cast<const Elf64_Shdr*>(file.data() + header->e_shoff),
                 header->e_shnum};
    if (header->e_shstrndx < sections_.size()) names_ = bytes_of(sections_[header->e_shstrndx]);
  }
  int machine() const { return machine_; }
  std::span<const Elf64_Shdr> sections() const { return sections_; }
  Bytes bytes_of(const Elf64_Shdr& section) const {
    if (section.sh_type == SHT_NOBITS || section.sh_offset > file_.size() ||
        section.sh_size > file_.size() - section.sh_offset) {
      return {};
    }
    return file_.subspan(section.sh_offset, section.sh_size);
  }
  std::string_view name_of(const Elf64_Shdr& section) const {
    return text_at(names_, section.sh_name);
  }
  // Calls f(symbol, name) for every symbol of the table.
  template <class F>
  void each_symbol(const F& f) const {
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections_.size()) continue;
      const Bytes table = bytes_of(section), names = bytes_of(sections_[section.sh_link]);
      const auto* symbols = reinterpret_cast<const Elf64_Sym*>(table.data());
      for (const Elf64_Sym& symbol : std::span(symbols, table.size() / sizeof(Elf64_Sym))) {
        f(symbol, text_at(names, symbol.st_name));
      }
    }
  }

 private:
  static std::string_view text_at(Bytes table, size_t at) {
    if (at >= table.size()) return {};
    const auto* text = reinterpret_cast<const char*>(table.data()) + at;
    return {text, strnlen(text, table.size() - at)};
  }
  Bytes file_, names_;
  int machine_ = 0;
  std::span<const Elf64_Shdr> sections_;
};

void read_host(const Elf& elf, Program& program) {
  elf.each_symbol([&](const Elf64_Sym& symbol, std::string_view name) {
    const int type = ELF64_ST_TYPE(symbol.st_info);
    if ((type == STT_FUNC || type == STT_OBJECT) && symbol.st_size > 0) {
      program.symbols.emplace(symbol.st_value, Symbol{symbol.st_size, std::string(name)});
    }
  });
}

void read_device(const Elf& elf, Program& program) {
  const auto keep = [&](std::string_view name, Bytes code) {
    program.device_code.emplace(std::string(name), XXH3_64bits(code.data(), code.size()));
  };
  if (elf.machine() == kCuda) {  // a section a kernel
    constexpr std::string_view kPrefix = ".text.";
    for (const Elf64_Shdr& section : elf.sections()) {
      const std::string_view name = elf.name_of(section);
      if (name.starts_with(kPrefix)) keep(name.substr(kPrefix.size()), elf.bytes_of(section));
    }
    return;
  }
  elf.each_symbol([&](const Elf64_Sym& symbol, std::string_view name) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx >= elf.sections().size())
      return;
    const Elf64_Shdr& section = elf.sections()[symbol.st_shndx];
    const Bytes code = elf.bytes_of(section);
    const size_t first = symbol.st_value - section.sh_addr;
    if (first <= code.size() && symbol.st_size <= code.size() - first) {
      keep(name, code.subspan(first, symbol.st_size));
    }
  });
}

Program read_program() {
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  struct stat status = {};
  Program program;
  if (fstat(file, &status) == 0 && status.st_size > 0) {
    const auto bytes = static_cast<size_t>(status.st_size);
    void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (memory != MAP_FAILED) {
      const Bytes all = {static_cast<const std::byte*>(memory), bytes};
      read_host(Elf(all), program);
      // Images of GPU code lie somewhere inside, at multiples of eight bytes.
      for (size_t at = 8; at + sizeof(Elf64_Ehdr) < bytes; at += 8) {
        if (std::memcmp(all.data() + at, ELFMAG, SELFMAG) != 0) continue;
        const Elf image(all.subspan(at));
        if (image.machine() == kCuda || image.machine() == kAmdGpu) read_device(image, program);
      }
      munmap(memory, bytes);
    }
  }
  close(file);
  return program;
}

// Where the program was loaded: its first entry in the list of loaded objects.
uintptr_t load_address() {
  uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        *static_cast<uintptr_t*>(out) = info->dlpi_addr;
        return 1;
      },
      &address);
  return address;
}

const Program& program() {
  static const Program known = read_program();
  return known;
}
const Symbol* symbol_of(const void* address) {
  static const uintptr_t base = load_address();
  const auto found = program().symbols.find(reinterpret_cast<uintptr_t>(address) - base);
  return found == program().symbols.end() ? nullptr : &found->second;
}

}  // namespace

uint64_t code_hash(const void* function) {
  const Symbol* symbol = symbol_of(function);
  return symbol == nullptr ? 0 : XXH3_64bits(function, symbol->size);
}

uint64_t device_code_hash(const void* handle) {
  const Symbol* symbol = symbol_of(handle);
  if (symbol == nullptr) return 0;
  const auto found = program().device_code.find(symbol->name);
  return found == program().device_code.end() ? 0 : found->second;
}

}  // namespace greta::kernels
