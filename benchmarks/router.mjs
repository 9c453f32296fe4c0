// A contender of the peers harness: a path through the built router of an app, with a real context, whose parameters are read back from it.
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'

const HIT = {}
const MISS = {}

/** `(path, param) => value`: '' for a match when no parameter is asked for, undefined when no route matches. */
export const build = routes => {
  const extension = router()
  const app = new App().use(extension)
  for (const route of routes) app.get(route, () => HIT)
  const context = app.create({ 'iopa.Method': 'GET', 'iopa.Path': '/' })
  const next = () => MISS
  return (path, param) => {
    context['iopa.Path'] = path
    if (extension.invoke(context, next) === MISS) return undefined
    return param === undefined ? '' : context['iopa.Params'][param]
  }
}
