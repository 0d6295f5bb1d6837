const { TestEnvironment } = require('jest-environment-jsdom');

/** A browser window that also has what jsdom lacks and Node has: fetch and its classes. */
class BrowserEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    const { fetch, Headers, Request, Response, TextDecoder, TextEncoder } =
      globalThis;
    Object.assign(this.global, {
      fetch,
      Headers,
      Request,
      Response,
      TextDecoder,
      TextEncoder
    });
  }
}

module.exports = BrowserEnvironment;
