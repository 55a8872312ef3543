// Numbers as people read them.

const digits = (value, most = 3) => value.toLocaleString("en", { maximumSignificantDigits: most });
export const whole = (value) => Math.round(value).toLocaleString("en");
export const percent = (share) => `${(100 * share).toFixed(1)} %`;

export function area(metres) {
  if (metres >= 1e6) return `${digits(metres / 1e6)} km²`;
  if (metres >= 1e4) return `${digits(metres / 1e4)} ha`;
  if (metres >= 0.01) return `${digits(metres)} m²`;
  return `${digits(metres * 1e6)} mm²`;
}

export function length(metres) {
  for (const [unit, size] of [["km", 1e3], ["m", 1], ["cm", 1e-2], ["mm", 1e-3]]) {
    if (metres >= size) return `${digits(metres / size)} ${unit}`;
  }
  return `${digits(metres * 1e6)} µm`;
}

export function bytes(count) {
  if (count === null) return "unknown";
  return count >= 2 ** 30 ? `${digits(count / 2 ** 30)} GiB` : `${digits(count / 2 ** 20)} MiB`;
}

export function seconds(count) {
  if (count === null) return "not known yet";
  if (count < 90) return `${Math.round(count)} s`;
  if (count < 5400) return `${Math.round(count / 60)} min`;
  return `${digits(count / 3600)} h`;
}

// The largest of 1, 2, 5, 10, 20, ... that is not beyond a number.
export function round(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [5, 2, 1].find((step) => step * power <= most);
}
