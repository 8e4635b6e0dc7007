#pragma once
// Files as the runner needs them: whole reads and writes with errors that name the path, durable
// renames, and names of owners that outlive a killed process.

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::runner {

Result<std::string> read_file(const std::filesystem::path& file);
// Writes beside the target and renames, so that a reader sees the old file or the new one.
Result<> write_file(const std::filesystem::path& file, std::string_view bytes);
Result<> make_folders(const std::filesystem::path& folder);
// The same, and those that were not there survive a power cut: their entries are flushed.
Result<> make_durable_folders(const std::filesystem::path& folder);
// Flushes a file's or a folder's entry to the disk.
Result<> sync_path(const std::filesystem::path& path);
// Flushes every file and folder below, deepest first.
Result<> sync_tree(const std::filesystem::path& folder);
// Removes what a killed process left; a missing path is fine.
void remove_tree(const std::filesystem::path& path);

// Removes what is in a folder, not the folder: it may be owned by whom a container runs as.
Result<> empty_folder(const std::filesystem::path& folder);

// At most the last `most` bytes of a log, from the start of a line.
std::string log_tail(const std::filesystem::path& file, size_t most = 2000);

// "PID:STARTTIME" (clock ticks since boot): a process that is told apart from a later one with the
// same number.
std::string this_owner();
bool owner_is_alive(std::string_view owner);
// "HOST/BOOT/PID NAMESPACE": where the number of an owner means something.
std::string this_machine();
// Whether it is certain that an owner on that machine has ended: here, and no such process; or
// here, before the last boot. What cannot be known is taken as alive.
bool owner_is_gone(std::string_view owner, std::string_view machine);

// "2026-02-03T10:00:00.000Z".
std::string utc_time(std::chrono::system_clock::time_point when);
// "1.2 s", "3 min 05 s".
std::string human_duration(double seconds);
// "512 KiB", "1.5 GiB".
std::string human_bytes(double bytes);

}  // namespace greta::runner
