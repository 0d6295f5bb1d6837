import type {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { ExecApi } from './api';
import { addCommands } from './commands';
import { EnvironmentsModel } from './model';
import { ExecPanel } from './panel';
import { CommandIDs, IEnvironmentsModel } from './tokens';

export { CommandIDs, IEnvironmentsModel } from './tokens';
export type {
  EnvironmentsState,
  EnvironmentStatus,
  IEnvironment,
  Isolation
} from './tokens';

const PANEL_ID = 'jupyter_exec_ext:panel';

/** Knows the environments. */
const environments: JupyterFrontEndPlugin<IEnvironmentsModel> = {
  id: 'jupyter_exec_ext:environments',
  description: 'Provides the environments in which the server can run code.',
  autoStart: true,
  provides: IEnvironmentsModel,
  activate: ({ serviceManager }: JupyterFrontEnd): IEnvironmentsModel =>
    new EnvironmentsModel({
      api: new ExecApi(serviceManager.serverSettings),
      events: serviceManager.events.stream,
      failures: serviceManager.connectionFailure
    })
};

/** Shows them in a side panel. */
const panel: JupyterFrontEndPlugin<void> = {
  id: PANEL_ID,
  description: 'Shows the environments in which the server can run code.',
  autoStart: true,
  requires: [IEnvironmentsModel],
  optional: [ITranslator, ISettingRegistry, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironmentsModel,
    translator: ITranslator | null,
    settings: ISettingRegistry | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const words = translator ?? nullTranslator;
    addCommands({ app, model, palette, trans: words.load('jupyter_exec_ext') });
    const widget = new ExecPanel({
      commands: app.commands,
      model,
      translator: words
    });
    app.shell.add(widget, 'left', { rank: 300, type: 'Code Execution' });
    restorer?.add(widget, widget.id);
    if (settings) {
      void followSettings(app, settings, model);
    }
  }
};

/** Apply the settings now and after every change. */
async function followSettings(
  app: JupyterFrontEnd,
  registry: ISettingRegistry,
  model: IEnvironmentsModel
): Promise<void> {
  const settings = await registry.load(PANEL_ID);
  const apply = () => {
    model.interval = settings.get('refreshInterval').composite as number;
  };
  apply();
  settings.changed.connect(apply);
  if (settings.get('openOnStart').composite) {
    await app.restored;
    await app.commands.execute(CommandIDs.show);
  }
}

export default [environments, panel];
