// SPDX-License-Identifier: MIT
// PTX text to Module.  Every opcode and modifier that is not known is an error that names it.
#pragma once
#include <memory>
#include <string>

#include "ir.hpp"

namespace ptxvm {

std::unique_ptr<Module> parsePtx(const std::string& text, const std::string& name);

// Given an instruction's dotted opcode, fills in everything but the operands (opcodes.cpp).
// `tokens` is the opcode split at the dots.  Throws on anything not understood.
void decodeOpcode(Ins& ins, const std::string& full);
// Second half, once the operands are known: checks them and gives each literal its constant slot
// (opcodes.cpp).
void bindOperands(Function& f, Ins& ins, const std::string& full);

// Adds a literal to the function's constants (32 copies, `bytes` each) and returns a Const
// operand.
Operand constantOperand(Function& f, uint64_t value, int bytes);

// Moves registers into as few slots as their live ranges allow (regalloc.cpp).
void allocateRegisters(Function& f);

}  // namespace ptxvm
