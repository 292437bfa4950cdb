// One reader a format; ir/foreign_graph.h says what they have in common.
#pragma once

#include <string>

#include "ir/foreign_graph.h"

namespace stint::foreign {

/// networkx node-link JSON, as Checkmate's graphs and MOCCASIN's random ones come. A node makes one
/// storage and reads those of its predecessors. The order is `graph.order` where that is given,
/// else networkx' topological order: nodes whose predecessors are done, first come, first served.
Profile ReadNodeLink(const std::string& text, const std::string& where);

/// A log of DTR. MUTATE makes a new storage of the same size, because an op that overwrites cannot
/// be run again; CONSTANTs are persistent; a value stays at the end only if nothing reads it and
/// the program still refers to it (logs end before everything is released).
Profile ReadDtrLog(const std::string& text, const std::string& where,
                   const ForeignOptions& options);

/// A graph of Chainer functions, forward and backward. Variables that no function makes are
/// persistent. The gradient of a variable with several users is summed up: each further part reads
/// the sum so far and makes a new one.
Profile ReadChainerGraph(const std::string& text, const std::string& where);

/// "n edges peak", costs in ns, bytes that each op makes, edges, and how many and which ops'
/// outputs stay.
Profile ReadCostGraph(const std::string& text, const std::string& where);

/// A whole training step: weights, moments, gradients, activations. Ops that make and write nothing
/// are views and left out.
Profile ReadWholeStep(const std::string& text, const std::string& where,
                      const ForeignOptions& options);

}  // namespace stint::foreign
