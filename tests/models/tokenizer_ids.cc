// Prints the ids of prompts: tokenizer_ids FOLDER < prompts > ids. Prompts end with a zero byte;
// each becomes one line of ids. For parity_tokenizer.py.
#include <iostream>
#include <iterator>
#include <string>

#include "models/tokenizer.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const stint::ClipTokenizer tokenizer = stint::ClipTokenizer::FromFolder(argv[1]);
  std::string prompt;
  while (std::getline(std::cin, prompt, '\0')) {
    const char* separator = "";
    for (const std::int64_t id : tokenizer.Encode(prompt)) {
      std::cout << separator << id;
      separator = " ";
    }
    std::cout << '\n';
  }
  return 0;
}
