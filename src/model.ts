import type { Event } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { DisposableDelegate } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { IExecApi } from './api';
import type { EnvironmentsState, IEnvironmentsModel } from './tokens';

/** The schema of the server's event about an environment, without its version. */
export const ENVIRONMENT_EVENT =
  'https://schema.jupyter.org/jupyter_exec_ext/environment';

/**
 * The environments of this server.
 *
 * The list is read again when the server says that one changed, when JupyterLab lost
 * the connection and, while somebody watches, every so often: a server may be set not to
 * look by itself for what is made by other means.
 */
export class EnvironmentsModel implements IEnvironmentsModel, IDisposable {
  constructor(options: EnvironmentsModel.IOptions) {
    this._api = options.api;
    this._events = options.events ?? null;
    this._events?.connect(this._onEvent, this);
    this._failures = options.failures ?? null;
    this._failures?.connect(this._onFailure, this);
    this._poll = new Poll({
      auto: false,
      name: 'jupyter_exec_ext:environments',
      factory: () => this._read(),
      frequency: { interval: Poll.NEVER, backoff: true, max: 300 * 1000 },
      standby: 'when-hidden'
    });
  }

  get state(): EnvironmentsState {
    return this._state;
  }

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  get interval(): number {
    const { interval } = this._poll.frequency;
    return interval === Poll.NEVER ? 0 : interval / 1000;
  }
  set interval(seconds: number) {
    const interval = seconds > 0 ? seconds * 1000 : Poll.NEVER;
    this._poll.frequency = { ...this._poll.frequency, interval };
    if (this._watchers > 0) {
      void this._poll.refresh();
    }
  }

  watch(): IDisposable {
    this._watchers += 1;
    void this._poll.start();
    return new DisposableDelegate(() => {
      this._watchers -= 1;
      if (this._watchers === 0) {
        void this._poll.stop();
      }
    });
  }

  async refresh(): Promise<void> {
    if (this._state.phase === 'failed') {
      this._set(this._turn, { phase: 'loading' });
    }
    await this._read().catch(() => undefined);
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._poll.dispose();
    this._events?.disconnect(this._onEvent, this);
    this._failures?.disconnect(this._onFailure, this);
    Signal.clearData(this);
  }

  /** Read the list; rejects, for the poll to wait longer, after the state was set. */
  private async _read(): Promise<void> {
    const turn = ++this._turn;
    try {
      const environments = await this._api.listEnvironments();
      this._set(turn, { phase: 'listed', environments });
    } catch (error) {
      this._set(turn, { phase: 'failed', error: error as Error });
      throw error;
    }
  }

  /** Only the request that was sent last may tell the state. */
  private _set(turn: number, state: EnvironmentsState): void {
    if (turn !== this._turn || this.isDisposed) {
      return;
    }
    this._state = state;
    this._stateChanged.emit();
  }

  private _onEvent(_: unknown, event: Event.Emission): void {
    if (this._watchers > 0 && event.schema_id.startsWith(ENVIRONMENT_EVENT)) {
      void this.refresh();
    }
  }

  /** Something else had no answer: what is listed may no longer be true. */
  private _onFailure(): void {
    if (this._watchers > 0 && this._state.phase === 'listed') {
      void this.refresh();
    }
  }

  private readonly _api: IExecApi;
  private readonly _events: ISignal<unknown, Event.Emission> | null;
  private readonly _failures: ISignal<unknown, Error> | null;
  private readonly _poll: Poll;
  private readonly _stateChanged = new Signal<this, void>(this);
  private _state: EnvironmentsState = { phase: 'loading' };
  private _turn = 0;
  private _watchers = 0;
}

export namespace EnvironmentsModel {
  export interface IOptions {
    api: IExecApi;
    /** The server's events. */
    events?: ISignal<unknown, Event.Emission>;
    /** Emits when a request to the server had no answer. */
    failures?: ISignal<unknown, Error>;
  }
}
