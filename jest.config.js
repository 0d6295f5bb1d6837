// JupyterLab's packages and some of theirs are ES modules, which jest has to be told to compile.
const esModules = [
  '@jupyter',
  '@jupyterlab',
  '@microsoft',
  '@lumino',
  'exenv-es6',
  'lib0',
  'y-protocols',
  'y-websocket',
  'yjs'
].join('|');

module.exports = {
  testEnvironment: '<rootDir>/jest.environment.js',
  testMatch: ['<rootDir>/src/__tests__/**/*.test.{ts,tsx}'],
  transform: {
    '^.+\\.(t|j)sx?$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', tsx: true },
          transform: { react: { runtime: 'classic' } },
          target: 'es2020'
        }
      }
    ],
    '\\.svg$': '<rootDir>/src/__tests__/svg.transform.js'
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esModules})(/|$))`],
  moduleNameMapper: {
    '\\.(css|less|sass|scss)$': '<rootDir>/src/__tests__/empty.js'
  },
  setupFiles: ['<rootDir>/src/__tests__/setup.js'],
  testTimeout: 10000
};
