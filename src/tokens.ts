import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';

/** The kinds of environment, in the order in which the panel shows them. */
export const KINDS = [
  'kernel',
  'local',
  'venv',
  'sandbox',
  'docker',
  'slurm'
] as const;

/** Whether an environment can take code now. */
export type EnvironmentStatus = 'ready' | 'preparing' | 'unavailable';

/** What stands between the code and the machine it runs on. */
export type Isolation = 'none' | 'process' | 'container';

/** A named place where code can run, as `GET api/exec/environments` tells it. */
export interface IEnvironment {
  readonly name: string;
  /** One of KINDS; a newer server may know others. */
  readonly kind: string;
  readonly displayName: string;
  readonly languages: readonly string[];
  readonly isolation: Isolation;
  /** What stop can promise there, where the server says it. */
  readonly guarantee: string | null;
  readonly status: EnvironmentStatus;
  /** Why it is not ready; one sentence for a person. */
  readonly reason: string | null;
  /** Whether code without an environment of its own runs here. */
  readonly isDefault: boolean;
}

/** What there is to show. */
export type EnvironmentsState =
  | { readonly phase: 'loading' }
  | { readonly phase: 'failed'; readonly error: Error }
  | {
      readonly phase: 'listed';
      readonly environments: readonly IEnvironment[];
    };

/** The environments of this server, kept up to date. */
export interface IEnvironmentsModel {
  readonly state: EnvironmentsState;
  /** Emitted after every change of `state`. */
  readonly stateChanged: ISignal<IEnvironmentsModel, void>;
  /** Seconds between two readings while somebody watches; 0 for none. */
  interval: number;
  /** Read the list again; resolves when `state` is new, and never rejects. */
  refresh(): Promise<void>;
  /** Keep the list up to date until what is returned is disposed of. */
  watch(): IDisposable;
}

/** The environments of this server, for other extensions. */
export const IEnvironmentsModel = new Token<IEnvironmentsModel>(
  'jupyter_exec_ext:IEnvironmentsModel',
  'The environments in which this server can run code.'
);

/** The commands of this extension. */
export namespace CommandIDs {
  export const show = 'exec:show-environments';
  export const refresh = 'exec:refresh-environments';
}
