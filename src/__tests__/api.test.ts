import { ApiError, ExecApi } from '../api';
import { json, serverThat } from './given';

const LOCAL = {
  name: 'local',
  kind: 'local',
  display_name: 'Local command line',
  languages: ['python', 'bash'],
  stateful: false,
  isolation: 'none',
  status: 'ready',
  reason: null,
  default: true,
  spec: { guarantee: 'subreaper' }
};

async function failure(api: ExecApi): Promise<ApiError> {
  return api.listEnvironments().then(
    () => Promise.reject(new Error('an answer, where a failure was due')),
    (error: ApiError) => error
  );
}

describe('ExecApi.listEnvironments', () => {
  it('asks below the base URL of the server and reads the answer', async () => {
    const { asked, settings } = serverThat(() =>
      json({ environments: [LOCAL] })
    );

    const list = await new ExecApi(settings).listEnvironments();

    expect(asked).toEqual(['/user/ada/api/exec/environments']);
    expect(list).toEqual([
      {
        name: 'local',
        kind: 'local',
        displayName: 'Local command line',
        languages: ['python', 'bash'],
        isolation: 'none',
        guarantee: 'subreaper',
        status: 'ready',
        reason: null,
        isDefault: true
      }
    ]);
  });

  it('does not wait for ever for a server that hangs', async () => {
    const { settings } = serverThat(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')));
        })
    );

    const error = await failure(new ExecApi(settings, 20));

    expect(error.failure).toBe('unreachable');
  });

  it('takes what it does not understand for not ready and not isolated', async () => {
    const strange = {
      name: 'pod:x',
      isolation: 'magic',
      spec: { guarantee: 5 },
      status: ['ready'],
      languages: ['python', 3, null],
      reason: { html: '<b>' },
      default: 'yes'
    };
    const { settings } = serverThat(() => json({ environments: [strange] }));

    const [read] = await new ExecApi(settings).listEnvironments();

    expect(read).toEqual({
      name: 'pod:x',
      kind: 'pod',
      displayName: 'pod:x',
      languages: ['python'],
      isolation: 'none',
      guarantee: null,
      status: 'unavailable',
      reason: null,
      isDefault: false
    });
  });

  it.each([
    [404, 'missing'],
    [403, 'forbidden'],
    [401, 'forbidden'],
    [503, 'unavailable'],
    [504, 'unavailable'],
    [500, 'other']
  ])('says what status %i means: %s', async (status, meaning) => {
    const { settings } = serverThat(() =>
      json({ message: 'Because.' }, status)
    );

    const error = await failure(new ExecApi(settings));

    expect(error).toBeInstanceOf(ApiError);
    expect(error.failure).toBe(meaning);
    expect(error.detail).toBe('Because.');
  });

  it('says that a server which does not answer cannot be reached', async () => {
    const { settings } = serverThat(() =>
      Promise.reject(new TypeError('refused'))
    );

    expect((await failure(new ExecApi(settings))).failure).toBe('unreachable');
  });

  it.each([
    [null],
    [[]],
    [{}],
    [{ environments: {} }],
    [{ environments: [{}] }]
  ])('refuses the answer %j', async body => {
    const { settings } = serverThat(() => json(body));

    expect((await failure(new ExecApi(settings))).failure).toBe('other');
  });

  it('refuses an answer that is not JSON', async () => {
    const { settings } = serverThat(() =>
      Promise.resolve(new Response('<html>'))
    );

    expect((await failure(new ExecApi(settings))).failure).toBe('other');
  });
});
