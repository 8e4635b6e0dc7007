#pragma once
// The identity of a kernel's machine code, taken from the program that runs.

#include <cstdint>

namespace greta::kernels {

// XXH3-64 over the bytes of the function that starts at `function`; its size comes from the symbol
// table of /proc/self/exe. Addresses inside the code are relative, so that a program loaded
// elsewhere (PIE, ASLR) has the same hash. 0 where the program is stripped or the function is not
// its own.
uint64_t code_hash(const void* function);

// The same over a GPU kernel's code, in the CUDA or AMD ELF images that the compiler put into this
// program. `handle` is what the host launches; its symbol has the kernel's mangled name. 0 where
// the program is stripped, or the images are compressed.
uint64_t device_code_hash(const void* handle);

}  // namespace greta::kernels
