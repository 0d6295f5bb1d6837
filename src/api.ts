import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { EnvironmentStatus, IEnvironment, Isolation } from './tokens';

/** The part of the REST contract that the panel needs. */
export interface IExecApi {
  /** Every environment, ready or not. Rejects with an ApiError. */
  listEnvironments(): Promise<IEnvironment[]>;
}

/** Why a request had no usable answer. */
export type ApiFailure =
  'unreachable' | 'unavailable' | 'missing' | 'forbidden' | 'other';

/** A request that had no usable answer. */
export class ApiError extends Error {
  /**
   * @param failure - What kind of failure it was; the view words it.
   * @param detail - The server's own sentence, or an empty string.
   */
  constructor(
    readonly failure: ApiFailure,
    readonly detail: string = ''
  ) {
    super(detail || failure);
    this.name = 'ApiError';
  }
}

/** The REST contract over the connection JupyterLab has to its server. */
export class ExecApi implements IExecApi {
  /**
   * @param _settings - The connection.
   * @param _patience - Milliseconds after which a server that has not answered does not answer.
   */
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _patience = 10_000
  ) {}

  async listEnvironments(): Promise<IEnvironment[]> {
    const body = await this._get('environments');
    const list = isRecord(body) ? body.environments : null;
    if (!Array.isArray(list)) {
      throw new ApiError('other', 'The answer holds no list of environments.');
    }
    return list.map(readEnvironment);
  }

  private async _get(path: string): Promise<unknown> {
    const url = URLExt.join(this._settings.baseUrl, 'api/exec', path);
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), this._patience);
    let response: Response;
    let body: unknown;
    try {
      response = await ServerConnection.makeRequest(
        url,
        { cache: 'no-store', signal: deadline.signal },
        this._settings
      );
      body = await response.json().catch(() => null);
      deadline.signal.throwIfAborted();
    } catch {
      throw new ApiError('unreachable');
    } finally {
      clearTimeout(timer);
    }
    if (!response.ok) {
      throw new ApiError(failureOf(response.status), messageOf(body));
    }
    return body;
  }
}

function failureOf(status: number): ApiFailure {
  if (status === 404) {
    return 'missing';
  }
  if (status === 401 || status === 403) {
    return 'forbidden';
  }
  // It is starting, or what stands between it and us says that it is not there.
  return [502, 503, 504].includes(status) ? 'unavailable' : 'other';
}

function messageOf(body: unknown): string {
  return isRecord(body) && typeof body.message === 'string' ? body.message : '';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function oneOf<T extends string>(
  value: unknown,
  known: readonly T[],
  otherwise: T
): T {
  return known.find(item => item === value) ?? otherwise;
}

const STATUSES: readonly EnvironmentStatus[] = [
  'ready',
  'preparing',
  'unavailable'
];
const ISOLATIONS: readonly Isolation[] = ['none', 'process', 'container'];

function readGuarantee(spec: unknown): string | null {
  const found = isRecord(spec) ? spec.guarantee : null;
  return typeof found === 'string' ? found : null;
}

/**
 * One environment out of an answer that may come from a newer or a broken server.
 *
 * What is not understood becomes the careful value: not ready, not isolated.
 */
function readEnvironment(value: unknown): IEnvironment {
  if (!isRecord(value) || typeof value.name !== 'string') {
    throw new ApiError(
      'other',
      'The answer holds an environment without a name.'
    );
  }
  const { name, kind, display_name, languages, reason } = value;
  return {
    name,
    kind: typeof kind === 'string' ? kind : name.split(':')[0],
    displayName: typeof display_name === 'string' ? display_name : name,
    languages: Array.isArray(languages)
      ? languages.filter((item): item is string => typeof item === 'string')
      : [],
    isolation: oneOf(value.isolation, ISOLATIONS, 'none'),
    guarantee: readGuarantee(value.spec),
    status: oneOf(value.status, STATUSES, 'unavailable'),
    reason: typeof reason === 'string' ? reason : null,
    isDefault: value.default === true
  };
}
