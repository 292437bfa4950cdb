#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <vector>

#include "kernels/group_norm_ops.h"

namespace stint {
namespace {

struct Shape {
  std::int64_t batch_count = 0;
  std::int64_t channel_count = 0;
  std::int64_t pixel_count = 0;  // Of one sample.
  std::int64_t group_count = 0;
  std::int64_t group_channels = 0;  // Of one group.

  std::int64_t GroupOf(std::int64_t channel) const { return channel / group_channels; }
  /// What one mean is the mean of.
  double MemberCount() const { return static_cast<double>(pixel_count * group_channels); }
};

Shape ShapeOf(const at::Tensor& input, std::int64_t group_count) {
  return {.batch_count = input.size(0),
          .channel_count = input.size(1),
          .pixel_count = input.size(2) * input.size(3),
          .group_count = group_count,
          .group_channels = input.size(1) / group_count};
}

/// Statistics of float64 tensors are float64, of all others float32.
at::ScalarType StatisticsType(const at::Tensor& input) {
  return input.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

std::vector<double> ToDoubles(const at::Tensor& values) {
  const at::Tensor doubles = values.to(at::kDouble).contiguous();
  const double* const data = doubles.const_data_ptr<double>();
  return {data, data + doubles.numel()};
}

/// All but the big tensors, as float64: a sample's shifts, and all weights and biases.
struct Parameters {
  std::vector<double> shift{};  // [batch, channels]; zeros where there is none.
  std::vector<double> weight{};
  std::vector<double> bias{};
};

Parameters ReadParameters(const Shape& shape, const std::optional<at::Tensor>& shift,
                          const at::Tensor& weight, const at::Tensor& bias) {
  const auto count = static_cast<std::size_t>(shape.batch_count * shape.channel_count);
  return {.shift = shift ? ToDoubles(*shift) : std::vector<double>(count),
          .weight = ToDoubles(weight),
          .bias = ToDoubles(bias)};
}

template <typename Element>
Element FromDouble(double value) {
  if constexpr (std::is_same_v<Element, double>) {
    return value;
  } else {
    return static_cast<Element>(static_cast<float>(value));
  }
}

double Sigmoid(double value) { return 1 / (1 + std::exp(-value)); }

/// Means and reciprocal deviations of the groups of sample `n`, into `mean` and `rstd` [groups].
template <typename Element>
void FindStatistics(const Shape& shape, const Element* sample, const double* shift, double epsilon,
                    double* mean, double* rstd) {
  std::fill_n(mean, shape.group_count, 0);
  std::fill_n(rstd, shape.group_count, 0);
  const auto visit = [&](auto add) {
    for (std::int64_t i = 0; i < shape.pixel_count; ++i) {
      for (std::int64_t c = 0; c < shape.channel_count; ++c) {
        const double value = static_cast<double>(sample[i * shape.channel_count + c]) + shift[c];
        add(shape.GroupOf(c), value);
      }
    }
  };
  visit([&](std::int64_t group, double value) { mean[group] += value; });
  for (std::int64_t g = 0; g < shape.group_count; ++g) mean[g] /= shape.MemberCount();
  visit([&](std::int64_t group, double value) {
    rstd[group] += (value - mean[group]) * (value - mean[group]);
  });
  for (std::int64_t g = 0; g < shape.group_count; ++g) {
    rstd[g] = 1 / std::sqrt(rstd[g] / shape.MemberCount() + epsilon);
  }
}

template <typename Element>
void NormaliseSample(const Shape& shape, const Element* sample, const double* shift,
                     const Parameters& parameters, const double* mean, const double* rstd,
                     bool has_silu, Element* output) {
  for (std::int64_t i = 0; i < shape.pixel_count; ++i) {
    for (std::int64_t c = 0; c < shape.channel_count; ++c) {
      const std::int64_t g = shape.GroupOf(c);
      const auto channel = static_cast<std::size_t>(c);
      const double value =
          static_cast<double>(sample[i * shape.channel_count + c]) + shift[channel];
      double result = (value - mean[g]) * rstd[g] * parameters.weight[channel];
      result += parameters.bias[channel];
      if (has_silu) result *= Sigmoid(result);
      output[i * shape.channel_count + c] = FromDouble<Element>(result);
    }
  }
}

/// Sums over the pixels of one sample, by channel. n is the normalised value, g the gradient of
/// what the SiLU takes.
struct ChannelSums {
  explicit ChannelSums(std::int64_t count)
      : g(static_cast<std::size_t>(count)), g_n(g.size()), n(g.size()) {}
  std::vector<double> g;
  std::vector<double> g_n;
  std::vector<double> n;
};

/// The backward pass of one sample, in two sweeps over its pixels.
template <typename Element>
class SampleBackward {
 public:
  SampleBackward(const Shape& shape, const Parameters& parameters, const double* shift,
                 const double* mean, const double* rstd, bool has_silu)
      : shape_(shape),
        parameters_(parameters),
        shift_(shift),
        mean_(mean),
        rstd_(rstd),
        has_silu_(has_silu),
        sums_(shape.channel_count) {}

  void Run(const Element* grad_output, const Element* sample, Element* grad_input) {
    Visit(grad_output, sample, [&](std::int64_t /*at*/, std::size_t c, double g, double n) {
      sums_.g[c] += g;
      sums_.g_n[c] += g * n;
      sums_.n[c] += n;
    });
    std::vector<double> mean_g(static_cast<std::size_t>(shape_.group_count));
    std::vector<double> mean_g_n(mean_g.size());
    for (std::size_t c = 0; c < sums_.g.size(); ++c) {
      const auto group = static_cast<std::size_t>(shape_.GroupOf(static_cast<std::int64_t>(c)));
      mean_g[group] += parameters_.weight[c] * sums_.g[c] / shape_.MemberCount();
      mean_g_n[group] += parameters_.weight[c] * sums_.g_n[c] / shape_.MemberCount();
    }
    shift_sums_.assign(sums_.g.size(), 0);
    Visit(grad_output, sample, [&](std::int64_t at, std::size_t c, double g, double n) {
      const auto group = static_cast<std::size_t>(shape_.GroupOf(static_cast<std::int64_t>(c)));
      const double gradient =
          rstd_[group] * (parameters_.weight[c] * g - mean_g[group] - n * mean_g_n[group]);
      shift_sums_[c] += gradient;
      grad_input[at] = FromDouble<Element>(gradient);
    });
  }

  const ChannelSums& sums() const { return sums_; }
  const std::vector<double>& shift_sums() const { return shift_sums_; }

 private:
  template <typename Visitor>
  void Visit(const Element* grad_output, const Element* sample, const Visitor& visitor) const {
    for (std::int64_t i = 0; i < shape_.pixel_count; ++i) {
      for (std::int64_t c = 0; c < shape_.channel_count; ++c) {
        const std::int64_t at = i * shape_.channel_count + c;
        const std::int64_t group = shape_.GroupOf(c);
        const auto channel = static_cast<std::size_t>(c);
        const double n =
            (static_cast<double>(sample[at]) + shift_[c] - mean_[group]) * rstd_[group];
        auto g = static_cast<double>(grad_output[at]);
        if (has_silu_) {
          const double y = n * parameters_.weight[channel] + parameters_.bias[channel];
          const double sigmoid = Sigmoid(y);
          g *= sigmoid * (1 + y * (1 - sigmoid));
        }
        visitor(at, channel, g, n);
      }
    }
  }

  const Shape& shape_;
  const Parameters& parameters_;
  const double* shift_;
  const double* mean_;
  const double* rstd_;
  bool has_silu_;
  ChannelSums sums_;
  std::vector<double> shift_sums_{};
};

at::Tensor FromDoubles(const std::vector<double>& values, at::IntArrayRef sizes,
                       at::ScalarType dtype) {
  const at::Tensor doubles = at::empty(sizes, at::kDouble);
  std::copy(values.begin(), values.end(), doubles.mutable_data_ptr<double>());
  return doubles.to(dtype);
}

}  // namespace

std::tuple<at::Tensor, at::Tensor, at::Tensor> GroupNormForwardCpu(
    const at::Tensor& input, const std::optional<at::Tensor>& shift, const at::Tensor& weight,
    const at::Tensor& bias, std::int64_t group_count, double epsilon, bool has_silu) {
  CheckGroupNorm(input, shift, weight, bias, group_count);
  const Shape shape = ShapeOf(input, group_count);
  const Parameters parameters = ReadParameters(shape, shift, weight, bias);
  at::Tensor output = at::empty_like(input);
  const auto statistics_count = static_cast<std::size_t>(shape.batch_count * group_count);
  std::vector<double> mean(statistics_count);
  std::vector<double> rstd(statistics_count);
  const std::int64_t sample_size = shape.channel_count * shape.pixel_count;
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, input.scalar_type(), "group_norm_nhwc", [&] {
        const auto* const in = input.const_data_ptr<scalar_t>();
        auto* const out = output.mutable_data_ptr<scalar_t>();
        at::parallel_for(0, shape.batch_count, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t n = begin; n < end; ++n) {
            const double* const sample_shift = parameters.shift.data() + n * shape.channel_count;
            double* const sample_mean = mean.data() + n * group_count;
            double* const sample_rstd = rstd.data() + n * group_count;
            FindStatistics(shape, in + n * sample_size, sample_shift, epsilon, sample_mean,
                           sample_rstd);
            NormaliseSample(shape, in + n * sample_size, sample_shift, parameters, sample_mean,
                            sample_rstd, has_silu, out + n * sample_size);
          }
        });
      });
  const std::array<std::int64_t, 2> sizes = {shape.batch_count, group_count};
  return {output, FromDoubles(mean, sizes, StatisticsType(input)),
          FromDoubles(rstd, sizes, StatisticsType(input))};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> GroupNormBackwardCpu(
    const at::Tensor& grad_output, const at::Tensor& input, const std::optional<at::Tensor>& shift,
    const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
    const at::Tensor& rstd, std::int64_t group_count, bool has_silu) {
  CheckGroupNorm(input, shift, weight, bias, group_count);
  const at::Tensor grad = grad_output.contiguous(at::MemoryFormat::ChannelsLast);
  const Shape shape = ShapeOf(input, group_count);
  const Parameters parameters = ReadParameters(shape, shift, weight, bias);
  const std::vector<double> means = ToDoubles(mean);
  const std::vector<double> rstds = ToDoubles(rstd);
  at::Tensor grad_input = at::empty_like(input);
  std::vector<double> grad_shift;
  std::vector<double> grad_weight(static_cast<std::size_t>(shape.channel_count));
  std::vector<double> grad_bias(grad_weight.size());
  const std::int64_t sample_size = shape.channel_count * shape.pixel_count;
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, input.scalar_type(), "group_norm_nhwc_backward", [&] {
        for (std::int64_t n = 0; n < shape.batch_count; ++n) {
          SampleBackward<scalar_t> backward(
              shape, parameters, parameters.shift.data() + n * shape.channel_count,
              means.data() + n * group_count, rstds.data() + n * group_count, has_silu);
          backward.Run(grad.const_data_ptr<scalar_t>() + n * sample_size,
                       input.const_data_ptr<scalar_t>() + n * sample_size,
                       grad_input.mutable_data_ptr<scalar_t>() + n * sample_size);
          for (std::size_t c = 0; c < grad_weight.size(); ++c) {
            grad_weight[c] += backward.sums().g_n[c];
            grad_bias[c] += backward.sums().g[c];
          }
          grad_shift.insert(grad_shift.end(), backward.shift_sums().begin(),
                            backward.shift_sums().end());
        }
      });
  const at::ScalarType dtype = input.scalar_type();
  const std::array<std::int64_t, 2> shift_sizes = {shape.batch_count, shape.channel_count};
  return {grad_input, shift ? FromDoubles(grad_shift, shift_sizes, dtype) : at::Tensor(),
          FromDoubles(grad_weight, shape.channel_count, dtype),
          FromDoubles(grad_bias, shape.channel_count, dtype)};
}

}  // namespace stint
