// Dark or light: what the system prefers, until somebody chooses; that is kept.

const root = document.documentElement;

export function restoreTheme() {
  try {
    const kept = localStorage.getItem("glnet-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* Nothing kept. */ }
}

export function changeTheme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (isDark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try { localStorage.setItem("glnet-theme", root.dataset.theme); } catch { /* Not kept. */ }
}
