// A server whose program takes its functions by import, for server.js.
import { createServer } from 'node:https';
import { createSecureContext } from 'node:tls';

export const make = (pair, hello) => {
  const other = createSecureContext(pair('other'));
  const SNICallback = (name, done) => done(null, name === 'other.test' ? other : null);
  return createServer({ ...pair('server'), SNICallback }, hello);
};
