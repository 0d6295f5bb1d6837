import type { Event } from '@jupyterlab/services';
import { PromiseDelegate } from '@lumino/coreutils';
import { Signal } from '@lumino/signaling';

import { ENVIRONMENT_EVENT, EnvironmentsModel } from '../model';
import type { IEnvironment } from '../tokens';
import { environment } from './given';

/** A server whose answers the test gives one by one. */
class Server {
  readonly events = new Signal<this, Event.Emission>(this);
  readonly failures = new Signal<this, Error>(this);
  readonly asked: PromiseDelegate<IEnvironment[]>[] = [];

  listEnvironments(): Promise<IEnvironment[]> {
    const answer = new PromiseDelegate<IEnvironment[]>();
    this.asked.push(answer);
    return answer.promise;
  }
}

function given(): { server: Server; model: EnvironmentsModel } {
  const server = new Server();
  const { events, failures } = server;
  const model = new EnvironmentsModel({ api: server, events, failures });
  return { server, model };
}

async function settle(): Promise<void> {
  await jest.advanceTimersByTimeAsync(1);
}

const CHANGED = {
  schema_id: `${ENVIRONMENT_EVENT}/v1`
} as Event.Emission;

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('EnvironmentsModel', () => {
  it('is loading until the first answer, then lists it', async () => {
    const { server, model } = given();
    expect(model.state).toEqual({ phase: 'loading' });

    const refreshed = model.refresh();
    server.asked[0].resolve([environment()]);
    await refreshed;

    expect(model.state).toEqual({
      phase: 'listed',
      environments: [environment()]
    });
  });

  it('keeps the failure, and is loading again when it is refreshed', async () => {
    const { server, model } = given();
    const error = new Error('away');
    const refreshed = model.refresh();
    server.asked[0].reject(error);
    await refreshed;
    expect(model.state).toEqual({ phase: 'failed', error });

    void model.refresh();

    expect(model.state).toEqual({ phase: 'loading' });
  });

  it('listens to the answer of the last request only', async () => {
    const { server, model } = given();
    const first = model.refresh();
    const second = model.refresh();
    server.asked[1].resolve([environment({ name: 'venv:new' })]);
    server.asked[0].resolve([environment({ name: 'venv:old' })]);
    await Promise.all([first, second]);

    expect(model.state).toMatchObject({ environments: [{ name: 'venv:new' }] });
  });

  it('reads on a change at the server while it is watched, and only then', async () => {
    const { server, model } = given();
    server.events.emit(CHANGED);
    expect(server.asked).toHaveLength(0);

    const watch = model.watch();
    await settle();
    expect(server.asked).toHaveLength(1);
    server.events.emit(CHANGED);
    expect(server.asked).toHaveLength(2);
    server.events.emit({ schema_id: 'https://example.org/other' });
    expect(server.asked).toHaveLength(2);

    watch.dispose();
    server.events.emit(CHANGED);
    expect(server.asked).toHaveLength(2);
  });

  it('reads when the connection failed, and shows that there is no answer', async () => {
    const { server, model } = given();
    model.interval = 0;
    server.failures.emit(new Error('away'));
    expect(server.asked).toHaveLength(0);
    model.watch();
    await settle();
    server.asked[0].resolve([environment()]);
    await settle();

    server.failures.emit(new Error('away'));
    expect(server.asked).toHaveLength(2);
    server.asked[1].reject(new Error('away'));
    await settle();
    expect(model.state).toMatchObject({ phase: 'failed' });

    // What has failed is not asked for again by every other failure.
    server.failures.emit(new Error('away'));
    expect(server.asked).toHaveLength(2);

    model.dispose();
    server.failures.emit(new Error('away'));
    expect(server.asked).toHaveLength(2);
  });

  it('fails by itself at the next interval where the server went away', async () => {
    const { server, model } = given();
    model.interval = 30;
    model.watch();
    await settle();
    server.asked[0].resolve([environment()]);

    await jest.advanceTimersByTimeAsync(31000);
    server.asked[1].reject(new Error('away'));
    await settle();

    expect(model.state).toMatchObject({ phase: 'failed' });
  });

  it('reads every interval while it is watched, and rests afterwards', async () => {
    const { server, model } = given();
    model.interval = 30;
    const watches = [model.watch(), model.watch()];
    await settle();
    server.asked[0].resolve([]);

    await jest.advanceTimersByTimeAsync(31000);
    expect(server.asked).toHaveLength(2);
    server.asked[1].resolve([]);

    watches[0].dispose();
    watches[0].dispose();
    await jest.advanceTimersByTimeAsync(31000);
    expect(server.asked).toHaveLength(3);
    server.asked[2].resolve([]);

    watches[1].dispose();
    await jest.advanceTimersByTimeAsync(120000);
    expect(server.asked).toHaveLength(3);
  });

  it('does not read by itself where the interval is 0', async () => {
    const { server, model } = given();
    model.interval = 0;
    model.watch();
    await settle();
    server.asked[0].resolve([]);

    await jest.advanceTimersByTimeAsync(600000);

    expect(server.asked).toHaveLength(1);
    expect(model.interval).toBe(0);
  });

  it('is silent once it is disposed of', async () => {
    const { server, model } = given();
    const seen = jest.fn();
    model.stateChanged.connect(seen);
    model.watch();
    await settle();

    model.dispose();
    model.dispose();
    server.asked[0].resolve([environment()]);
    server.events.emit(CHANGED);
    await settle();

    expect(seen).not.toHaveBeenCalled();
    expect(server.asked).toHaveLength(1);
    expect(model.isDisposed).toBe(true);
  });
});
