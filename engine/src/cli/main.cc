#include "cli/cli.h"

int main(int argc, char** argv) { return greta::engine::cli_main(argc, argv); }
