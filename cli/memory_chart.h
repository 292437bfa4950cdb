// Memory over time as an SVG picture: the prediction as an area of what it consists of, the
// measurement as a line on it.
#pragma once

#include <string>

#include "ir/plan.h"
#include "ir/report.h"

namespace stint {

/// Of the role in pictures; readable on white and on black.
const char* ColourOf(BufferRole role);

/// Both curves over the predicted time of the phases, one repetition of each body; over
/// instructions where the profile has no times. The prediction is cut into roles, in their order
/// from the bottom, where it says them. `plan` adds a line at the arena's share of the
/// budget; it may be null.
///
///     GiB ^  - - - - - - - - - budget
///         |     __/\__
///         |  __/      \____
///         +-----------------> ms
///           step
std::string DrawMemoryChart(const Report& predicted, const Report& measured, const Plan* plan);

/// `text` with the characters that mean something to HTML escaped.
std::string EscapeHtml(const std::string& text);

}  // namespace stint
