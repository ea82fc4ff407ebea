// A node whose sockets grow (Expression Blend, Identity Batch) and that is pasted gets the grown ones behind those of its widgets. The
// page joins pasted links by the places that the sockets had, so links to them would be lost. Here each gets its place back.
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "SFSR.Sockets",
  nodeCreated(node) {
    if (!node.comfyDynamic?.autogrow || !node.constructor.nodeData?.category?.startsWith("SFSR")) return;
    const configure = node.configure;
    node.configure = function (saved) {
      const places = new Map(saved.inputs?.map((input, place) => [input.name, place]));
      configure.call(this, saved);
      // With links, as in a graph that is loaded, the page finds the sockets by itself.
      if (this.inputs.some((input) => input.link != null || !places.has(input.name))) return;
      this.inputs.sort((one, other) => places.get(one.name) - places.get(other.name));
    };
  },
});
