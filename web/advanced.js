// Where the page draws nodes on its canvas, its menu of a node has "Show Advanced", but nothing tells it which widgets these are;
// Nodes 2.0 knows. Told here, so that Expression Embed shows three widgets there as well, not twenty-five; all of them where the page's
// settings say that none shall be hidden.
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "SFSR.Advanced",
  nodeCreated(node) {
    const advanced = (node.widgets ?? []).filter((widget) => widget.options?.advanced);
    if (!advanced.length || !node.constructor.nodeData?.category?.startsWith("SFSR")) return;
    const linked = (widget) => node.inputs.some((input) => input.widget?.name === widget.name && input.link != null);
    const all = () => app.extensionManager?.setting?.get("Comfy.Node.AlwaysShowAdvancedWidgets");
    for (const widget of advanced) {
      Object.defineProperty(widget, "advanced", { get: () => !all() && !linked(widget), set: () => {}, configurable: true });
    }
    // The page keeps room for widgets that it does not draw.
    node.getLayoutWidgets = () => node.widgets.filter((one) => !one.hidden && (!one.advanced || node.showAdvanced));
    node.setSize(node.computeSize());
  },
});
