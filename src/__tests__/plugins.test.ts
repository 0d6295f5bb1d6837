import plugins from '..';
import schema from '../../schema/panel.json';
import { IEnvironmentsModel } from '../tokens';

describe('the plugins', () => {
  it('are the model and the panel, under the names that others rely on', () => {
    expect(plugins.map(({ id }) => id)).toEqual([
      'jupyter_exec_ext:environments',
      'jupyter_exec_ext:panel'
    ]);
  });

  it('need nothing of the application but the model', () => {
    const [environments, panel] = plugins;
    expect(environments.requires ?? []).toEqual([]);
    expect(environments.provides).toBe(IEnvironmentsModel);
    expect(panel.requires).toEqual([IEnvironmentsModel]);
  });

  it('have settings with a default each', () => {
    for (const setting of Object.values(schema.properties)) {
      expect(setting).toHaveProperty('default');
      expect(setting).toHaveProperty('description');
    }
  });
});
