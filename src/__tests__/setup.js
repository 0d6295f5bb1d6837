// What JupyterLab's packages look for when they are loaded and jsdom does not have.
globalThis.DragEvent ??= class DragEvent extends Event {};
globalThis.ResizeObserver ??= class ResizeObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
};
globalThis.matchMedia ??= () => ({ matches: false, addListener() {} });
Object.defineProperty(navigator, 'clipboard', { value: {} });

// Tells React that the tests wait for it with act().
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
