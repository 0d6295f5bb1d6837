import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { refreshIcon } from '@jupyterlab/ui-components';

import { PANEL_WIDGET } from './panel';
import type { IEnvironmentsModel } from './tokens';
import { CommandIDs } from './tokens';

const NO_ARGUMENTS = { args: { type: 'object', properties: {} } };

/** Add the commands of the panel to the application, and to the palette where there is one. */
export function addCommands(options: ICommandOptions): void {
  const { app, model, palette, trans } = options;
  app.commands.addCommand(CommandIDs.show, {
    label: trans.__('Show Code Environments'),
    caption: trans.__('Show the environments in which code can run'),
    describedBy: NO_ARGUMENTS,
    execute: () => app.shell.activateById(PANEL_WIDGET)
  });
  app.commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh Code Environments'),
    caption: trans.__('Refresh the list of environments'),
    icon: refreshIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => model.refresh()
  });
  const category = trans.__('Code Execution');
  for (const command of [CommandIDs.show, CommandIDs.refresh]) {
    palette?.addItem({ command, category });
  }
}

interface ICommandOptions {
  app: JupyterFrontEnd;
  model: IEnvironmentsModel;
  palette: ICommandPalette | null;
  trans: TranslationBundle;
}
