import { ServerConnection } from '@jupyterlab/services';

import type { IEnvironment } from '../tokens';

/** An environment, with what a test says about it. */
export function environment(some: Partial<IEnvironment> = {}): IEnvironment {
  return {
    name: 'local',
    kind: 'local',
    displayName: 'Local command line',
    languages: ['python', 'bash'],
    isolation: 'none',
    guarantee: null,
    status: 'ready',
    reason: null,
    isDefault: false,
    ...some
  };
}

/** What a server under test is asked, and how to reach it. */
export interface IServer {
  readonly asked: string[];
  readonly settings: ServerConnection.ISettings;
}

/** A server that answers every request with this. */
export function serverThat(
  answer: (request: Request) => Promise<Response>
): IServer {
  const asked: string[] = [];
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://server.test/user/ada/',
    fetch: request => {
      asked.push(new URL((request as Request).url).pathname);
      return answer(request as Request);
    }
  });
  return { asked, settings };
}

/** An answer with this status and JSON body. */
export function json(body: unknown, status = 200): Promise<Response> {
  return Promise.resolve(new Response(JSON.stringify(body), { status }));
}
